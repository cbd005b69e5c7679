package usersession

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	wtsapi32                        = windows.NewLazySystemDLL("wtsapi32.dll")
	procWTSQuerySessionInformationW = wtsapi32.NewProc("WTSQuerySessionInformationW")
	procWTSDisconnectSession        = wtsapi32.NewProc("WTSDisconnectSession")
	procWTSLogoffSession            = wtsapi32.NewProc("WTSLogoffSession")
	procWTSSendMessageW             = wtsapi32.NewProc("WTSSendMessageW")
)

const (
	wtsCurrentServer = 0 // WTS_CURRENT_SERVER_HANDLE

	// Of WTS_INFO_CLASS.
	wtsUserName   = 5
	wtsDomainName = 7

	messageOK          = 0x00 // MB_OK
	messageInformation = 0x40 // MB_ICONINFORMATION
)

// wtsSessions returns the sessions that somebody is signed in to: the listener, the
// session of the services and sign-in screens have no user.
func wtsSessions() ([]wtsSession, error) {
	var first *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(wtsCurrentServer, 0, 1, &first, &count); err != nil {
		return nil, err
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	var sessions []wtsSession
	for _, info := range unsafe.Slice(first, count) {
		// A session that ends meanwhile has no name any more.
		name, err := wtsQuery(info.SessionID, wtsUserName)
		if err != nil || name == "" {
			continue
		}
		domain, err := wtsQuery(info.SessionID, wtsDomainName)
		if err != nil {
			continue
		}
		sessions = append(sessions, wtsSession{
			id: info.SessionID, account: domain + `\` + name, connected: info.State != windows.WTSDisconnected,
		})
	}
	return sessions, nil
}

// wtsQuery returns one of the strings that Windows knows of a session.
func wtsQuery(id uint32, class uint32) (string, error) {
	var text *uint16
	var bytes uint32
	ok, _, err := procWTSQuerySessionInformationW.Call(wtsCurrentServer, uintptr(id), uintptr(class),
		uintptr(unsafe.Pointer(&text)), uintptr(unsafe.Pointer(&bytes)))
	if ok == 0 {
		return "", err
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(text)))
	return windows.UTF16PtrToString(text), nil
}

func wtsDisconnect(id uint32) error {
	const wait = 0
	return succeeded(procWTSDisconnectSession.Call(wtsCurrentServer, uintptr(id), wait))
}

func wtsLogOff(id uint32) error {
	const wait = 0
	return succeeded(procWTSLogoffSession.Call(wtsCurrentServer, uintptr(id), wait))
}

// wtsMessage shows the message and does not wait for the user's answer. Lengths are
// in bytes, without the terminating zero.
func wtsMessage(id uint32, title, text string) error {
	t, err := windows.UTF16FromString(title)
	if err != nil {
		return err
	}
	m, err := windows.UTF16FromString(text)
	if err != nil {
		return err
	}
	const timeout, wait = 0, 0
	var response uint32
	return succeeded(procWTSSendMessageW.Call(wtsCurrentServer, uintptr(id),
		uintptr(unsafe.Pointer(&t[0])), uintptr(2*(len(t)-1)),
		uintptr(unsafe.Pointer(&m[0])), uintptr(2*(len(m)-1)),
		messageOK|messageInformation, timeout, uintptr(unsafe.Pointer(&response)), wait))
}

// succeeded makes an error of what a call of Windows returns.
func succeeded(ok, _ uintptr, err error) error {
	if ok == 0 {
		return err
	}
	return nil
}
