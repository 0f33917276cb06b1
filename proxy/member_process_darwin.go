package proxy

// pidSpace is the same for all processes of a host: there is but one.
func pidSpace() string { return "host" }
