package webdriver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// WebKit opens a browser on WebKitGTK and closes it when the test ends.
func WebKit(t testing.TB) *Browser {
	t.Helper()
	driver, program := testservice.WebKit(t)
	h := &overHTTP{client: &http.Client{Timeout: commandLimit}, url: "http://" + driver + "/session"}
	var opened struct{ SessionID string }
	require.NoError(t, h.post("", object{"capabilities": object{"alwaysMatch": object{
		"webkitgtk:browserOptions": object{"binary": program, "args": []string{"--automation"}},
	}}}, &opened))
	h.url += "/" + opened.SessionID
	t.Cleanup(func() {
		request, err := http.NewRequest(http.MethodDelete, h.url, nil)
		require.NoError(t, err)
		if err := h.do(request, nil); err != nil {
			t.Errorf("close WebKit: %v", err)
		}
	})
	return &Browser{t: t, send: h.send}
}

// overHTTP is a WebDriver session over HTTP.
type overHTTP struct {
	client *http.Client
	url    string
}

func (h *overHTTP) send(command string, params object, result any) error {
	path := map[string]string{
		navigate: "/url", back: "/back", find: "/element", click: "/element/{id}/click", keys: "/element/{id}/value", script: "/execute/sync",
	}[command]
	if id, has := params["id"].(string); has {
		path = strings.Replace(path, "{id}", id, 1)
	}
	return h.post(path, params, result)
}

func (h *overHTTP) post(path string, params object, result any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, h.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return h.do(request, result)
}

func (h *overHTTP) do(request *http.Request, result any) error {
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		var failed struct{ Value failure }
		if err := json.Unmarshal(answer, &failed); err != nil {
			return fmt.Errorf("%s: %s", response.Status, answer)
		}
		return &failed.Value
	}
	return value(answer, result)
}
