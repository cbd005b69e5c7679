package devidp

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"

	"github.com/reachback/reachback/broker"
)

// A page is what the templates show.
type page struct {
	Action, ID string
	UserCode   string
	Users      []string
	Message    string
}

func names(users []broker.SeedUser) (n []string) {
	for _, u := range users {
		n = append(n, u.Name)
	}
	return n
}

const style = `body{font:16px system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
.demo{background:#fff4ce;border:1px solid #d8b400;padding:.5rem .75rem}
button,input{font:inherit;padding:.4rem .75rem;margin:.25rem 0}
button{display:block;min-width:12rem;text-align:left}
code{font-size:1.5rem;letter-spacing:.1em}`

var pages = template.Must(template.New("").Funcs(template.FuncMap{"style": func() template.CSS { return style }}).Parse(`
{{- define "head"}}<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Demonstration sign-in</title>
<style>{{style}}</style>
<p class="demo"><strong>Demonstration.</strong> This issuer asks for no password: whoever uses this machine can sign in as anybody.</p>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}{{end}}
{{- define "users"}}{{range .Users}}<button name="user" value="{{.}}">{{.}}</button>
{{end}}<button name="decision" value="deny">Cancel</button>{{end}}
{{- define "login"}}{{template "head" .}}<h1>Sign in as</h1>
<form method="post" action="{{.Action}}"><input type="hidden" name="id" value="{{.ID}}">
{{template "users" .}}</form></html>{{end}}
{{- define "device"}}{{template "head" .}}<h1>Sign in a program</h1>
<form method="post" action="{{.Action}}"><input type="hidden" name="id" value="{{.ID}}">
{{if .UserCode}}<input type="hidden" name="user_code" value="{{.UserCode}}"><p>Go on only if the program that you started shows this code:</p><p><code>{{.UserCode}}</code></p>
<p>Sign it in as</p>
{{template "users" .}}{{else}}<p><label>Code that the program shows: <input name="user_code" autocomplete="off" autocapitalize="characters" autofocus></label></p>
<button>Next</button>{{end}}</form></html>{{end}}
{{- define "message"}}{{template "head" .}}</html>{{end}}`))

// Names of the templates.
const (
	loginPage  = "login"
	devicePage = "device"
	messageOf  = "message"
)

var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// show answers with a page. Redirect is where its form may lead in the end, which
// browsers hold against form-action too; nil is nowhere.
func show(w http.ResponseWriter, redirect *url.URL, name string, p page) {
	showStatus(w, http.StatusOK, redirect, name, p)
}

func showError(w http.ResponseWriter, message string) {
	showStatus(w, http.StatusBadRequest, nil, messageOf, page{Message: message})
}

func showStatus(w http.ResponseWriter, status int, redirect *url.URL, name string, p page) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		panic(err) // the templates are constant and take any text
	}
	target := ""
	if redirect != nil {
		target = " " + redirect.Scheme + "://" + redirect.Host
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+styleHash+"; form-action 'self'"+target+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
