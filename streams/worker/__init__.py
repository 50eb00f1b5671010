"""The worker: batches under Faust, and the ways of product events, behaviour events and links."""
