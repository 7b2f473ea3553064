// Everything in this header is inline; the file makes sure that it compiles as C.
#include "cmachine.h"
