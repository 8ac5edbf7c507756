# Types of cursor.py, for the compiled form.
cimport cython

@cython.final
cdef class Cursor:
    cdef readonly str file
    cdef bytes avro_file
    cdef readonly long long position
    cdef readonly long long event_position
    cdef long long server_seconds
    cdef bint checksummed
    cdef bint outer_checksummed
    cdef bint is_described
    cdef bint is_inside
    cdef readonly int kind
    cdef readonly int flags
    cdef readonly long long server_id
    cdef readonly Py_ssize_t body_at
    cdef readonly Py_ssize_t body_end
    cdef long long file_seconds
    cdef str opened_file
    cdef long long opened_file_seconds
    cdef long long opened_position
    cdef long long opened_digest
    cdef bytes opened_events
    cdef Py_ssize_t opened_at
    cdef Py_ssize_t opened_body_at
    cdef Py_ssize_t opened_body_end
    cdef object last

    cdef Py_ssize_t step(
        self, bytes events, const unsigned char *data, Py_ssize_t at, Py_ssize_t total) except? -1
    cdef int _check(
        self, bytes events, const unsigned char *data, Py_ssize_t at, Py_ssize_t size) except? -1
    cdef int _opens(self, bytes events, Py_ssize_t at) except? -1
    cdef void locate(
        self, int kind, int flags, Py_ssize_t size, long long log_position) noexcept

# Here, so that other modules have it inline; the plain form's is in cursor.py.
cdef inline long long uint(const unsigned char *data, Py_ssize_t at, Py_ssize_t size) noexcept:
    cdef long long value = 0
    cdef Py_ssize_t i
    for i in range(size):
        value = value << 8 | data[at + size - 1 - i]
    return value
