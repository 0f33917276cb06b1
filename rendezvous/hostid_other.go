//go:build !linux && !darwin

package rendezvous

import "errors"

func bootID() (string, error) { return "", errors.New("no boot id on this system") }
