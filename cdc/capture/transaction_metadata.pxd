# Types of transaction_metadata.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out
from cdc.capture.block_writer cimport BlockWriter
from cdc.capture.transaction cimport Transaction

@cython.final
cdef class TransactionMetadata:
    cdef object binder
    cdef Transaction transaction
    cdef BlockWriter block
    cdef bint is_wanted
    cdef long long total_order
    cdef dict collections

    cdef int count(self, str table) except? -1
    cdef int write(self, Out out, str table) except? -1
