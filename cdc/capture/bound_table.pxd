# Types of bound_table.py, for the compiled form.
cimport cython
from cdc.capture.rows cimport RowPlan

@cython.final
cdef class BoundTable:
    cdef readonly str topic
    cdef readonly RowPlan plan
    cdef readonly bint captured
    cdef readonly bytes value_frame
    cdef readonly bytes key_frame
    cdef readonly bytes static_source
    cdef readonly bytes database
    cdef readonly bytes table
    cdef readonly str name
    cdef readonly bytes table_map
    cdef tuple json_columns
    cdef readonly str drop_reason
    cdef Py_ssize_t topic_index
    cdef readonly Py_ssize_t record_bytes_max
