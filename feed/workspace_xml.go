package feed

import (
	"bytes"
	"encoding/xml"
	"strconv"
)

// namespace is that of every element, in all versions ([MS-TSWP], section 2.2).
const namespace = "http://schemas.microsoft.com/ts/2007/05/tswf"

// The elements, in the order of the schema, with the attributes that we write.
// Pointers and omitempty are what version 1.1 does not have.
type (
	xmlCollection struct {
		XMLName           xml.Name     `xml:"http://schemas.microsoft.com/ts/2007/05/tswf ResourceCollection"`
		SchemaVersion     schema       `xml:",attr"`
		PubDate           string       `xml:",attr"`
		SupportsReconnect string       `xml:",attr,omitempty"`
		DisplayFolder     string       `xml:",attr,omitempty"`
		Publisher         xmlPublisher `xml:"Publisher"`
	}
	xmlPublisher struct {
		LastUpdated       string              `xml:",attr"`
		Name              string              `xml:",attr"`
		ID                string              `xml:",attr"`
		Description       string              `xml:",attr"`
		SupportsReconnect string              `xml:",attr,omitempty"`
		DisplayFolder     string              `xml:",attr,omitempty"`
		SubFolders        *xmlFolders         `xml:"SubFolders"`
		Resources         xmlResources        `xml:"Resources"`
		TerminalServers   []xmlTerminalServer `xml:"TerminalServers>TerminalServer"`
	}
	// xmlResources is written also when it is empty, which a>b would not be.
	xmlResources struct {
		Resources []xmlResource `xml:"Resource"`
	}
	xmlResource struct {
		ID             string        `xml:",attr"`
		Alias          string        `xml:",attr"`
		Title          string        `xml:",attr"`
		LastUpdated    string        `xml:",attr"`
		Type           string        `xml:",attr"`
		ShowByDefault  string        `xml:",attr,omitempty"`
		Icons          xmlIcons      `xml:"Icons"`
		FileExtensions xmlExtensions `xml:"FileExtensions"`
		Folders        *xmlFolders   `xml:"Folders"`
		File           xmlFile       `xml:"HostingTerminalServers>HostingTerminalServer>ResourceFile"`
		Server         xmlServerRef  `xml:"HostingTerminalServers>HostingTerminalServer>TerminalServerRef"`
	}
	xmlIcons struct {
		Raw     xmlIcon `xml:"IconRaw"`
		Icon16  xmlIcon `xml:"Icon16"`
		Icon32  xmlIcon `xml:"Icon32"`
		Icon48  xmlIcon `xml:"Icon48"`
		Icon64  xmlIcon `xml:"Icon64"`
		Icon100 xmlIcon `xml:"Icon100"`
		Icon256 xmlIcon `xml:"Icon256"`
	}
	xmlIcon struct {
		Dimensions string `xml:",attr,omitempty"`
		FileType   string `xml:",attr"`
		FileURL    string `xml:",attr"`
	}
	// xmlExtensions is written also when it is empty.
	xmlExtensions struct {
		Extensions []xmlExtension `xml:"FileExtension"`
	}
	xmlExtension struct {
		Name           string `xml:",attr"`
		PrimaryHandler string `xml:",attr,omitempty"`
	}
	xmlFolders struct {
		Folders []xmlFolder `xml:"Folder"`
	}
	xmlFolder struct {
		Name string `xml:",attr"`
	}
	xmlFile struct {
		FileExtension string `xml:",attr"`
		URL           string `xml:",attr"`
	}
	xmlServerRef struct {
		Ref string `xml:",attr"`
	}
	xmlTerminalServer struct {
		ID          string `xml:",attr"`
		Name        string `xml:",attr"`
		LastUpdated string `xml:",attr"`
	}
)

// pngIcon is a picture of that many pixels a side.
func (w *workspace) pngIcon(hash string, size int) xmlIcon {
	n := strconv.Itoa(size)
	return xmlIcon{Dimensions: n + "x" + n, FileType: "Png", FileURL: w.root + pathIcon + hash + "-" + n + ".png"}
}

func (w *workspace) icons(hash string) xmlIcons {
	return xmlIcons{
		Raw:     xmlIcon{FileType: "Ico", FileURL: w.root + pathIcon + hash + ".ico"},
		Icon16:  w.pngIcon(hash, 16),
		Icon32:  w.pngIcon(hash, 32),
		Icon48:  w.pngIcon(hash, 48),
		Icon64:  w.pngIcon(hash, 64),
		Icon100: w.pngIcon(hash, 100),
		Icon256: w.pngIcon(hash, 256),
	}
}

// encodeXML returns v as a document, with its declaration.
func encodeXML(v any) ([]byte, error) {
	b := bytes.NewBufferString(xml.Header)
	e := xml.NewEncoder(b)
	e.Indent("", " ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
