package proxy

// WithHostID makes a component say that it runs on another host than it does.
func WithHostID(id string) Option {
	return func(c *config) error {
		c.hostID = id
		return nil
	}
}
