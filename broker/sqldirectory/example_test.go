package sqldirectory_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/sqldirectory"
)

// A broker that keeps what it knows, and its keys, in a SQLite file. With
// "postgres://…" in place of the path any number of brokers share a database.
func Example() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	secret := make([]byte, sqldirectory.MinKeySecret) // of a program: read from a file
	rand.Read(secret)

	ctx := context.Background()
	d, err := sqldirectory.Open(ctx, "sqlite:"+filepath.Join(dir, "broker.db"), &sqldirectory.Options{KeySecret: secret})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	keys, err := d.Keys(ctx)
	if err != nil {
		log.Fatal(err)
	}
	b := &broker.Broker{Directory: d, Keys: keys}
	defer b.Close()

	err = d.Apply(ctx, &broker.Seed{
		Pools:     []broker.SeedPool{{Name: "desktops"}},
		Resources: []broker.SeedResource{{ID: "desktop", Title: "Desktop", Pool: "desktops", Assign: []string{"user:alice"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	resources, err := b.Resources(ctx, &reachback.User{Issuer: "https://idp.example", Subject: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range resources {
		fmt.Println(r.ID, r.Title)
	}
	// Output: desktop Desktop
}
