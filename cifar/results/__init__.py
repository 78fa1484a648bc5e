"""What training leaves behind: its record, metrics, pictures, reports; a model put to use."""
