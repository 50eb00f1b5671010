"""Standardising: text, prices, units, dates, codes into one form, every change recorded with its reason."""
