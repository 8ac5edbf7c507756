# Types of rows.py's hot classes, for the compiled form.
from cdc.capture.avro_out cimport Out

cdef class ColumnPlan:
    cdef readonly int kind
    cdef readonly Py_ssize_t size
    cdef readonly long long a
    cdef readonly long long b
    cdef readonly object table
    cdef readonly int null_branch
    cdef readonly int value_branch
    cdef readonly int key_slot
    cdef readonly str name
    cdef readonly bint bulky
    cdef readonly bytes null_value
    cdef public long long substitutions
    cdef dict memo

cdef class RowPlan:
    cdef readonly list columns
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t key_count
    cdef readonly str table
    cdef Py_ssize_t[64] key_start
    cdef Py_ssize_t[64] key_end

    cdef Py_ssize_t image(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        const unsigned char *present, Py_ssize_t present_at, Out out) except? -1
    cdef Py_ssize_t skip(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        const unsigned char *present, Py_ssize_t present_at) except? -1
    cdef int key(self, Out values, Out out) except? -1
