# Makes a comment behind a field or an enumerator one that Doxygen reads.
s#^\(  [A-Za-z_][^/]*[^ /]\) */\* #\1 /**< #
s#^  size_t struct_size;$#  size_t struct_size; /**< sizeof the struct, set by the caller */#
