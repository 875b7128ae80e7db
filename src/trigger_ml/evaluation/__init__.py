"""Figures of merit, with uncertainties."""
