package restartcheck

import (
	"context"
	"crypto/rand"
	"net/http"

	"holdfast/internal/learn/stock"
)

// trySigned tests a server without a store. It runs in this process, and a restart is a
// new server with the same key: it keeps nothing else.
func trySigned(ctx context.Context, o Options) (Row, error) {
	people, key := &stock.People{}, []byte(rand.Text())
	t := &trial{Options: o, row: Row{Store: JWT}, cookie: stock.CookieName}
	t.launch = func(ctx context.Context, _ ...string) (server, error) {
		started, url, err := stock.Serve(ctx, stock.NewSigned(people, key))
		if err != nil {
			return nil, err
		}
		return signedServer{started, url}, nil
	}
	return t.run(ctx, func(context.Context) error {
		t.row.SessionSize = int64(len(t.browser.Token()))
		return nil
	})
}

// signedServer is a server in this process. It announces only its address, and logs
// nothing.
type signedServer struct {
	*http.Server
	url string
}

func (s signedServer) URL() string        { return s.url }
func (s signedServer) Says(string) string { return "" }
func (s signedServer) LogTail() string    { return "" }
func (s signedServer) Stop() error        { return s.Close() }
func (s signedServer) Kill()              { _ = s.Close() }
