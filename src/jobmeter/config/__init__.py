"""One typed settings object per process: environment < flags."""
