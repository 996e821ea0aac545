"""Values between steps by Ray's object store, beside their durable copies.

`shared.py` is what runners and launched tasks write and read through: a blob store whose large
objects lie in shared memory too. `keeper.py` is the actor that says which object holds which blob.
Everything here is a cache: whatever of it is lost, evicted or slow, the blob is read instead.
"""
