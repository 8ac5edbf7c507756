# Types of checksum.py, for the compiled form.
cdef Py_ssize_t SMALL_BYTES_MAX
cdef unsigned int *_steps

cdef long long crc32(bytes events, Py_ssize_t at, Py_ssize_t end) except? -1
cdef long long _small(const unsigned char *data, Py_ssize_t at, Py_ssize_t end) noexcept
