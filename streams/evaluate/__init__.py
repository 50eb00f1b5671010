"""Measuring the detectors against data whose truth is known."""
