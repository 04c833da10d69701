"""Vector stores, one library each: FAISS, LanceDB, Milvus."""
