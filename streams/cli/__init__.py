"""The command line: `streamgauge`."""
