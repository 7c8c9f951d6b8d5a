"""Models over HTTP: a service and the page it serves. No model logic: that is in `kexue.pipelines`."""
