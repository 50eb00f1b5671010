"""The stream: the Faust app, its agents and topics, the command line, the embedded Kafka, the marketplace."""
