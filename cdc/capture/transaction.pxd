# Types of transaction.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out

@cython.final
cdef class Transaction:
    cdef bytes connector
    cdef object executed
    cdef bint is_mysql
    cdef bint is_open
    cdef bint has_begun
    cdef bint is_resumed
    cdef long long begun_at
    cdef long long commit_micros
    cdef long long thread
    cdef long long ordinal
    cdef long long skip_until
    cdef Out name
    cdef Out gtid
    cdef Out id_prefix
    cdef dict begun
    cdef bytes source_uuid
    cdef bytes source_name
    cdef str source
    cdef str run_source
    cdef long long run_first
    cdef long long run_last
    cdef long long number
    cdef bint has_gtid
    cdef dict prepared
    cdef long long domain
    cdef long long server_id
    cdef bint has_domain_run
    cdef long long run_domain
    cdef long long run_server_id
    cdef long long run_number

    cdef int open_gtid(self, bytes events, Py_ssize_t at, long long number, long long place) except? -1
    cdef int _open_number(self, long long number, long long place) except? -1
    cdef int open_domain(
        self, long long domain, long long server_id, long long number, long long place) except? -1
    cdef int open_anonymous(self, object file, long long place) except? -1
    cdef int _opened(self, bint has_gtid, long long place) except? -1
    cdef int commit(self) except? -1
    cdef int _flush(self) except? -1

cdef int decimal(Out out, long long number) except? -1
