package feed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Settings that a signature is in, and those that it must cover.
const (
	nameScope     = "signscope"
	nameSignature = "signature"
	nameAddress   = "full address"
	nameAlternate = "alternate full address"
)

// signable are the settings that a signature covers, in the order in which they
// are signed, by the names that the scope has for them. There is no document of
// these: it is what rdpsign.exe does.
var signable = []string{
	"Full Address", "Alternate Full Address", "PCB", "Use Redirection Server Name", "Server Port",
	"Negotiate Security Layer", "EnableCredSspSupport", "DisableConnectionSharing", "AutoReconnection Enabled", "GatewayHostname",
	"GatewayUsageMethod", "GatewayProfileUsageMethod", "GatewayCredentialsSource", "Support URL", "PromptCredentialOnce",
	"Require pre-authentication", "Pre-authentication server address", "Alternate Shell", "Shell Working Directory", "RemoteApplicationProgram",
	"RemoteApplicationExpandWorkingdir", "RemoteApplicationMode", "RemoteApplicationGuid", "RemoteApplicationName", "RemoteApplicationIcon",
	"RemoteApplicationFile", "RemoteApplicationFileExtensions", "RemoteApplicationCmdLine", "RemoteApplicationExpandCmdLine", "Prompt For Credentials",
	"Authentication Level", "AudioMode", "RedirectDrives", "RedirectPrinters", "RedirectCOMPorts",
	"RedirectSmartCards", "RedirectPOSDevices", "RedirectClipboard", "DevicesToRedirect", "DrivesToRedirect",
	"LoadBalanceInfo", "RedirectDirectX", "RDGIsKDCProxy", "KDCProxyName", "EventLogUploadAddress",
	"EnableRdsAadAuth", "RedirectWebAuthn",
}

// unsignable are settings that open something of the user's machine to the host
// and that no signature covers: whoever has the file can change them.
var unsignable = []string{"usbdevicestoredirect", "camerastoredirect", "redirectlocation", "audiocapturemode"}

// signedMessage is what a signature is of: the settings of the scope, in its
// order, then the scope itself and a NUL, each as its line stands in the file and
// all in UTF-16LE, whatever the file is written in.
func signedMessage(settings []Setting, scope Setting) []byte {
	var b strings.Builder
	for _, s := range settings {
		b.WriteString(s.String() + "\r\n")
	}
	b.WriteString(scope.String() + "\r\n\x00")
	return appendUTF16(nil, b.String())
}

// scope returns the settings of f that can be signed, in the order in which they
// are, and the line that lists them.
func (f *RDPFile) scope() (settings []Setting, scope Setting) {
	var names []string
	for _, name := range signable {
		if s, ok := f.Get(name); ok {
			settings = append(settings, s)
			names = append(names, name)
		}
	}
	return settings, Setting{nameScope, 's', strings.Join(names, ",")}
}

// inScope returns the settings that a signed file's scope lists, in its order.
// A scope that readers could understand in two ways is refused.
func (f *RDPFile) inScope(scope Setting) ([]Setting, error) {
	names := strings.Split(scope.Value, ",")
	if len(names) > MaxRDPSettings {
		return nil, errors.New("feed: the signscope of the .rdp file is too long")
	}
	var settings []Setting
	seen := make(map[string]bool)
	for _, name := range names {
		key := strings.ToLower(name)
		s, ok := f.Get(name)
		switch {
		case key == nameScope || key == nameSignature:
			return nil, fmt.Errorf("feed: the signscope of the .rdp file lists %q, which is not to be signed", key)
		case seen[key]:
			return nil, fmt.Errorf("feed: the signscope of the .rdp file lists %q twice", name)
		case !ok:
			return nil, fmt.Errorf("feed: the signscope of the .rdp file lists %q, which is not in the file", name)
		}
		seen[key] = true
		settings = append(settings, s)
	}
	return settings, nil
}

// In front of the CMS stand a version, the kind of signature and a length, 32
// bits each, little endian.
const (
	headerVersion = 0x00010001
	headerKind    = 0x00000001
	headerLen     = 12
	groupLen      = 64 // characters of base64 between two blanks
)

// wrapSignature makes the value of the signature setting.
func wrapSignature(der []byte) string {
	b := binary.LittleEndian.AppendUint32(nil, headerVersion)
	b = binary.LittleEndian.AppendUint32(b, headerKind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(der)))
	text := base64.StdEncoding.EncodeToString(append(b, der...))
	var out strings.Builder
	for group := range slices.Chunk([]byte(text), groupLen) {
		out.Write(group)
		out.WriteString("  ")
	}
	return out.String()
}

// unwrapSignature returns the CMS in the value of a signature setting. Signers
// put one blank, two or none between groups.
func unwrapSignature(value string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(value, " ", ""))
	if err != nil || len(b) < headerLen {
		return nil, errCMS
	}
	version, kind, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	der := b[headerLen:]
	if version != headerVersion || kind != headerKind || uint64(n) != uint64(len(der)) {
		return nil, errCMS
	}
	return der, nil
}
