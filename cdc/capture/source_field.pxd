# Types of source_field.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out
from cdc.capture.bound_table cimport BoundTable
from cdc.capture.cursor cimport Cursor
from cdc.capture.transaction cimport Transaction

@cython.final
cdef class SourceField:
    cdef Transaction transaction
    cdef Cursor cursor
    cdef Out head
    cdef Out tail
    cdef bint with_query
    cdef bytes query

    cdef int statement(self, str text) except? -1
    cdef int forget_statement(self) except? -1
    cdef int fill(self, BoundTable bound, long long micros) except? -1
    cdef int write(self, Out out, long long row) except? -1
