"""The Open Inference Protocol over gRPC; imported only where `[grpc]` is configured."""
