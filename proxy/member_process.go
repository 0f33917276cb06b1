package proxy

// hasEnded says whether the process of a record is known to be gone: it ran on self's host, where
// self can see it, and is not there any more. False means only that nothing is known.
func hasEnded(r, self record) bool {
	return r.PID > 0 && r.HostID != "" && r.HostID == self.HostID &&
		r.PIDSpace != "" && r.PIDSpace == self.PIDSpace && noSuchProcess(r.PID)
}
