# Types of columns.py, for the compiled form.
from cdc.capture.avro_out cimport Out

cdef class ColumnPlan:
    cdef readonly str owner
    cdef readonly str name
    cdef readonly int kind
    cdef readonly Py_ssize_t size
    cdef readonly long long a
    cdef readonly long long b
    cdef readonly object table
    cdef readonly bint is_prefixed
    cdef readonly int null_branch
    cdef readonly int value_branch
    cdef readonly int key_slot
    cdef readonly bytes null_value
    cdef readonly bytes fallback
    cdef readonly bytes absent
    cdef readonly bint fails_on_substitution
    cdef readonly bint replaces_text
    cdef public long long substitutions
    cdef dict memo

    cdef int substitute(self, Out out) except? -1

cdef class VeiledColumn(ColumnPlan):
    cdef readonly ColumnPlan plain
    cdef readonly bytes constant
    cdef readonly object change
    cdef readonly ColumnPlan keyed
