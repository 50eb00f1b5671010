"""Kafka: the embedded broker, clients, topics."""
