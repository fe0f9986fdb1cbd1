"""Making a network: seed craters, warping, data sets, two-step fit, evaluation, the older methods, explanation."""
