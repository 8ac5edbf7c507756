# Types of rows.py's hot classes, for the compiled form.
from cdc.capture.avro_out cimport Out
from cdc.capture.columns cimport VeiledColumn

cdef class RowPlan:
    cdef readonly list columns
    cdef readonly list read_columns
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t key_count
    cdef readonly str table
    cdef Out aside
    cdef Py_ssize_t[64] key_start
    cdef Py_ssize_t[64] key_end

    cdef Py_ssize_t image(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        const unsigned char *present, Py_ssize_t present_at, Out out) except? -1
    cdef Py_ssize_t _veiled(
        self, VeiledColumn veiled, bint is_here, bint is_null, const unsigned char *data,
        Py_ssize_t at, Py_ssize_t end, Out out) except? -1
    cdef Py_ssize_t skip(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        const unsigned char *present, Py_ssize_t present_at) except? -1
    cdef bint is_whole(self, const unsigned char *present, Py_ssize_t present_at) noexcept
    cdef list left_out(self, const unsigned char *present, Py_ssize_t present_at)
    cdef int key(self, Out values, Out out) except? -1
