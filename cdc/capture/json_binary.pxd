# Types of json_binary.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out

cdef int DEPTH_MAX, NUMBER_BYTES_MAX
cdef int _SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL
cdef int _INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE
cdef int _QUOTE, _BACKSLASH, _SPACE, _COMMA, _COLON, _MINUS, _ZERO
cdef tuple _LITERALS
cdef dict _ESCAPES

@cython.final
cdef class _Value:
    cdef bytes data
    cdef const unsigned char *p
    cdef Py_ssize_t size
    cdef Py_ssize_t unused
    cdef Py_ssize_t length
    cdef Out out

    cdef int write(self, int kind, Py_ssize_t at, int depth) except? -1
    cdef int write_container(self, int kind, Py_ssize_t at, int depth) except? -1
    cdef int write_number(self, int kind, Py_ssize_t at) except? -1
    cdef int write_quoted(self, Py_ssize_t at, Py_ssize_t length) except? -1
    cdef int write_byte(self, unsigned char byte) except? -1
    cdef Py_ssize_t read_length(self, Py_ssize_t at) except? -1
    cdef Py_ssize_t number(self, Py_ssize_t at, int width) except? -1
    cdef int need(self, Py_ssize_t at, Py_ssize_t size) except? -1
    cdef int use(self, Py_ssize_t size) except? -1
