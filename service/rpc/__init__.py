"""The gRPC services: messages in, messages out. With `app`, the only place that imports grpc."""
