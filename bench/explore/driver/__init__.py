"""The exploring process: carries out one schedule after another, and the processes that it starts for that."""
