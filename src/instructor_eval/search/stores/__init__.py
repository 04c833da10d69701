"""Vector stores, a library each: FAISS, LanceDB, Milvus."""
