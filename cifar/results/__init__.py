"""Results of training: record, metrics, pictures and reports, and use of a trained model."""
