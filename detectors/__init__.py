"""Pure detection and repair: a batch in, findings and corrections out. No Kafka, no Faust, no torch."""
