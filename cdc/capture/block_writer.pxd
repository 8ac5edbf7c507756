# Types of block_writer.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out
from cdc.capture.bound_table cimport BoundTable

@cython.final
cdef class BlockWriter:
    cdef Out data
    cdef Out entries
    cdef list topics
    cdef dict topic_indexes
    cdef list further

    cdef int note(
        self, Py_ssize_t topic, long long place, Py_ssize_t key_at, Py_ssize_t key_size,
        Py_ssize_t value_at, Py_ssize_t value_size, Py_ssize_t revision_at, Py_ssize_t id_size,
        Py_ssize_t further) except? -1
    cdef Py_ssize_t topic_of(self, BoundTable bound) except? -1
    cdef Py_ssize_t further_index(self, object headers) except? -1
