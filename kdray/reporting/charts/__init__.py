"""The figures of a report: each is described once, and drawn for the browser and for paper."""
