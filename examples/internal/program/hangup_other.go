//go:build !unix

package program

// OnHangup does nothing: this system has no such signal.
func OnHangup(func()) (stop func()) { return func() {} }
