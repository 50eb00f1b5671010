"""The demo: an embedded Kafka, a worker, a simulated marketplace, and a screen that shows what is found."""
