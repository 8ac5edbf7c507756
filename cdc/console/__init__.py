"""Where a running connector answers about itself: an HTTP listener, its client, its finder."""
