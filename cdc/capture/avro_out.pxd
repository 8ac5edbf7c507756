# Types of avro_out.py, for the compiled form.
cimport cython

@cython.final
cdef class Out:
    cdef bytearray buffer
    cdef unsigned char *p
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t n

    cdef int reserve(self, Py_ssize_t more) except? -1
    cdef void byte(self, unsigned char value) noexcept
    cdef void varint(self, long long value) noexcept
    cdef void copy(self, const unsigned char *data, Py_ssize_t at, Py_ssize_t size) noexcept
    cdef int write(self, bytes data) except? -1
    cdef bint equals(self, Out other) noexcept
    cdef bytes slice(self, Py_ssize_t start, Py_ssize_t end)
