// Package config owns every setting of Holdfast: its name, default, unit and
// validation, and the command line. It must not know what the settings are used for,
// and it never prints a secret.
//
// A setting takes its value from the first of these that has one: a flag, the
// environment, the .env file, its default. An empty value counts as none.
package config

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/hostname"
)

// Config holds every setting, validated. Each field is one setting: its flag is the tag
// name or the field's name with dashes (--base-url), and that name in capitals with
// underscores (BASE_URL) is its environment variable.
//
// Tags: initial is the default; oneof, min, max, schemes and check define what is
// allowed.
type Config struct {
	Host             string         `group:"Web server" initial:"localhost" check:"host" help:"Host name or IP address to listen on. 0.0.0.0 listens on all interfaces."`
	Port             int            `group:"Web server" initial:"3000" min:"0" max:"65535" help:"TCP port to listen on. 0 picks a free port."`
	BaseURL          string         `group:"Web server" name:"base-url" check:"base" unset:"http://HOST:PORT" help:"Public URL of the site, without a path. An https URL makes the cookie Secure and gives it the __Host- prefix."`
	TrustedProxies   []netip.Prefix `group:"Web server" unset:"none" help:"Proxies whose X-Forwarded-For header is trusted: IP addresses or networks (10.0.0.0/8), separated by commas."`
	KeepAliveTimeout time.Duration  `group:"Web server" initial:"75s" min:"1s" max:"1h" help:"How long an idle connection stays open. Must be longer than the proxy in front keeps its connections, or requests that arrive during the close are lost."`
	HSTSSubdomains   string         `group:"Web server" name:"hsts-subdomains" initial:"off" oneof:"on,off" help:"Whether HSTS, which is sent with an https BASE_URL, includes all subdomains of the host."`
	MetricsAddr      string         `group:"Web server" check:"hostport" unset:"off" help:"host:port of a separate listener that serves /metrics for Prometheus. Do not expose it publicly."`
	ShutdownTimeout  time.Duration  `group:"Web server" initial:"10s" min:"1ms" max:"1h" help:"How long in-flight requests may take to finish after SIGTERM."`

	DataDir                 string        `group:"Accounts and database" initial:".data" check:"directory" help:"Directory for the embedded stores, for revocations that wait for the database, and for email when SMTP_URL is empty."`
	DatabaseURL             SecretURL     `group:"Accounts and database" name:"database-url" schemes:"postgres,postgresql" unset:"SQLite in DATA_DIR" help:"PostgreSQL server: postgres://USER:PASSWORD@HOST:5432/DATABASE."`
	DatabasePoolSize        int           `group:"Accounts and database" initial:"16" min:"1" max:"10000" help:"Maximum number of database connections."`
	DatabaseTimeout         time.Duration `group:"Accounts and database" initial:"2s" min:"1ms" max:"10s" help:"Time limit for one database call, including the wait for a connection. The Redis heartbeat relies on the 10s maximum."`
	PasswordMinLength       int           `group:"Accounts and database" initial:"15" min:"8" max:"256" help:"Minimum length of a new password, in characters."`
	PasswordHashConcurrency int           `group:"Accounts and database" min:"1" max:"1024" unset:"number of CPUs minus 1, at least 1" help:"How many passwords may be hashed at once. Each hash uses 19 MiB of memory and one CPU."`
	BreachedPasswords       string        `group:"Accounts and database" unset:"none" help:"File of breached passwords to refuse, in the Have I Been Pwned format: SHA-1 hashes, ordered by hash."`
	Throttle                string        `group:"Accounts and database" initial:"on" oneof:"on,off" help:"Throttle failed logins and other attempts, per account and per IP address. Turn off only for tests that make many attempts."`

	SessionStore            string        `group:"Sessions" initial:"redis" oneof:"redis,memory,file,database" help:"Where sessions are stored. memory loses them on restart."`
	RedisURL                SecretURL     `group:"Sessions" name:"redis-url" schemes:"redis,rediss,unix" unset:"embedded, in DATA_DIR" help:"Redis server: redis://USER:PASSWORD@HOST:6379/0, rediss:// for TLS, or unix://USER:PASSWORD@/PATH?db=0 for a socket."`
	RedisConnectTimeout     time.Duration `group:"Sessions" initial:"250ms" min:"1ms" max:"1m" help:"Time limit for opening a connection to Redis."`
	RedisTimeout            time.Duration `group:"Sessions" initial:"500ms" min:"1ms" max:"1m" help:"Time limit for one Redis command, including opening the connection and one retry."`
	SessionCookie           string        `group:"Sessions" check:"cookie" unset:"session" help:"Name of the session cookie. Browsers send a host's cookies to all its ports, so each program on a host needs a different name. With an https BASE_URL, it gets the prefix __Host-."`
	SessionIdleTimeout      time.Duration `group:"Sessions" initial:"24h" min:"1s" max:"400d" help:"A session expires when it has not been used for this long."`
	SessionLifetime         time.Duration `group:"Sessions" initial:"7d" min:"1s" max:"400d" help:"A session expires this long after login, even if it is in use."`
	SessionRememberLifetime time.Duration `group:"Sessions" initial:"30d" min:"1s" max:"400d" help:"The same, for a login with “keep me logged in”."`
	SessionGuestIdleTimeout time.Duration `group:"Sessions" initial:"1h" min:"1s" max:"400d" help:"A guest's session expires when it has not been used for this long, or for SESSION_IDLE_TIMEOUT if that is shorter."`
	SessionGuestLimit       int           `group:"Sessions" initial:"1024" min:"1" max:"1048576" help:"Maximum number of KiB that guests from one IP address (IPv6: one /64) may store in an hour. THROTTLE=off removes this limit."`

	SMTPURL  SecretURL `group:"Email" name:"smtp-url" schemes:"smtp,smtps" unset:"files in DATA_DIR/mail" help:"Mail server: smtp://USER:PASSWORD@HOST:587, or smtps:// for TLS from the start."`
	MailFrom string    `group:"Email" initial:"Holdfast <holdfast@localhost>" check:"mail" help:"From address of outgoing email. Required with SMTP_URL."`

	LearnMode string     `group:"Learning pages and logs" name:"learn" initial:"auto" oneof:"auto,on,off" help:"Learning pages: /explain, /lab, and the experiments on /why. auto enables them only if HOST and BASE_URL are both local to this machine."`
	LogLevel  slog.Level `group:"Learning pages and logs" initial:"info" oneof:"debug,info,warn,error" help:"Minimum log level."`
	LogFormat string     `group:"Learning pages and logs" initial:"text" oneof:"text,json" help:"Log format. json writes one object per line."`

	derivedBase bool // BaseURL was not set, so it follows Host and Port
}

// Address returns the address to listen on, for net.Listen.
func (c Config) Address() string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// WithPort returns c with another port: with PORT=0, the one that the system chose. A
// BaseURL that was not set follows it.
func (c Config) WithPort(port int) Config {
	c.Port = port
	if c.derivedBase {
		c.BaseURL = deriveBase(c.Host, port)
	}
	return c
}

// Secure reports whether people reach the server over https.
func (c Config) Secure() bool {
	return strings.HasPrefix(c.BaseURL, "https://")
}

// Learn reports whether the pages that show how a request is recognised are on. Anyone
// who can open them can restart the server and attack it, so a server that other
// machines can reach, directly or through a proxy, has them only with LEARN=on.
func (c Config) Learn() bool {
	if c.LearnMode != "auto" {
		return c.LearnMode == "on"
	}
	return c.LocalOnly()
}

// LocalOnly reports whether only this machine can reach the server, directly or through
// a proxy.
func (c Config) LocalOnly() bool {
	base, err := url.Parse(c.BaseURL)
	return err == nil && hostname.IsLoopback(c.Host) && hostname.IsLoopback(base.Hostname())
}

// deriveBase returns the address for a browser on this machine.
func deriveBase(host string, port int) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + strings.TrimSuffix(net.JoinHostPort(host, strconv.Itoa(port)), ":80")
}
