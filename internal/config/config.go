// Package config owns every setting of Holdfast: its name, default, unit and
// check, and the command line. It must not know what the settings are used for,
// and it never prints a secret.
//
// A setting comes from the first of these that gives it a value: a flag, the
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

// Config holds every setting, checked. Each field is one setting: its flag is
// the tag name or the field's name with dashes (--base-url), and that in
// capitals with underscores (BASE_URL) is its name in the environment.
//
// Tags: initial is the default; oneof, min, max, schemes and check say what is
// allowed.
type Config struct {
	Host            string         `group:"Web server" initial:"localhost" check:"host" help:"Host name or IP address to listen on; 0.0.0.0 for every network of this machine."`
	Port            int            `group:"Web server" initial:"3000" min:"0" max:"65535" help:"TCP port to listen on; 0 takes any free one."`
	BaseURL         string         `group:"Web server" name:"base-url" check:"base" unset:"http://HOST:PORT" help:"Address people open, without a path. https makes the cookie Secure, with the prefix __Host-."`
	TrustedProxies  []netip.Prefix `group:"Web server" unset:"none" help:"Networks (10.0.0.0/8) or addresses of the proxies whose X-Forwarded-For is believed, separated by commas."`
	MetricsAddr     string         `group:"Web server" check:"hostport" unset:"off" help:"host:port of a second listener with /metrics for Prometheus; keep it off the public network."`
	ShutdownTimeout time.Duration  `group:"Web server" initial:"10s" min:"1ms" max:"1h" help:"How long requests in flight may take to finish after SIGTERM."`

	DataDir                 string        `group:"People" initial:".data" help:"Folder of the embedded stores and of mail that is not sent."`
	DatabaseURL             SecretURL     `group:"People" name:"database-url" schemes:"postgres,postgresql" unset:"SQLite in DATA_DIR" help:"PostgreSQL server: postgres://USER:PASSWORD@HOST:5432/DATABASE."`
	DatabasePoolSize        int           `group:"People" initial:"16" min:"1" max:"10000" help:"Connections to the database at most."`
	DatabaseTimeout         time.Duration `group:"People" initial:"2s" min:"1ms" max:"10s" help:"Limit of one database call, waiting for a connection included; at most the margin of the heartbeat in Redis."`
	PasswordMinLength       int           `group:"People" initial:"15" min:"8" max:"256" help:"Characters a new password needs at least."`
	PasswordHashConcurrency int           `group:"People" min:"1" max:"1024" unset:"one less than the processors, at least 1" help:"Passwords hashed at once at most, each with 19 MiB and a processor of its own."`
	BreachedPasswords       string        `group:"People" unset:"none" help:"File of passwords that are refused because they are known: SHA-1, ordered by hash, as Have I Been Pwned offers it."`
	Throttle                string        `group:"People" initial:"on" oneof:"on,off" help:"Slow down wrong log-ins and other tries, by account and by address. off is for a test that makes many."`

	SessionStore            string        `group:"Sessions" initial:"redis" oneof:"redis,memory,file,database" help:"Where sessions live. memory forgets them at a restart."`
	RedisURL                SecretURL     `group:"Sessions" name:"redis-url" schemes:"redis,rediss" unset:"embedded, in DATA_DIR" help:"Redis server: redis://USER:PASSWORD@HOST:6379/0, or rediss:// for TLS."`
	RedisConnectTimeout     time.Duration `group:"Sessions" initial:"250ms" min:"1ms" max:"1m" help:"Limit of making one connection to Redis."`
	RedisTimeout            time.Duration `group:"Sessions" initial:"500ms" min:"1ms" max:"1m" help:"Limit of one session operation: wait for a connection, write and read."`
	SessionIdleTimeout      time.Duration `group:"Sessions" initial:"24h" min:"1s" max:"400d" help:"A session unused for this long ends."`
	SessionLifetime         time.Duration `group:"Sessions" initial:"7d" min:"1s" max:"400d" help:"A session ends this long after log-in, however much it is used."`
	SessionRememberLifetime time.Duration `group:"Sessions" initial:"30d" min:"1s" max:"400d" help:"The same for a session that the person asked to keep."`

	SMTPURL  SecretURL `group:"Mail" name:"smtp-url" schemes:"smtp,smtps" unset:"files in DATA_DIR/mail" help:"Mail server: smtp://USER:PASSWORD@HOST:587, or smtps:// for TLS from the start."`
	MailFrom string    `group:"Mail" initial:"Holdfast <holdfast@localhost>" check:"mail" help:"Sender of mail; needed with SMTP_URL."`

	LearnMode string     `group:"Learning and logs" name:"learn" initial:"auto" oneof:"auto,on,off" help:"Pages /explain, /lab and /why; auto has them when HOST and BASE_URL are this machine alone."`
	LogLevel  slog.Level `group:"Learning and logs" initial:"info" oneof:"debug,info,warn,error" help:"Least level of what is logged."`
	LogFormat string     `group:"Learning and logs" initial:"text" oneof:"text,json" help:"One line of text or one JSON object an event."`

	derivedBase bool // BaseURL was not set and follows Host and Port
}

// Address is what the server listens on, as net.Listen wants it.
func (c Config) Address() string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// WithPort is c listening on port: with PORT=0, the one that the system chose.
// A BaseURL that was not set follows.
func (c Config) WithPort(port int) Config {
	c.Port = port
	if c.derivedBase {
		c.BaseURL = deriveBase(c.Host, port)
	}
	return c
}

// Secure reports whether people reach the server by https.
func (c Config) Secure() bool {
	return strings.HasPrefix(c.BaseURL, "https://")
}

// Learn reports whether the pages that show how a request is recognised are on.
// They also restart the server and attack it, for anybody who asks, so a server
// that others can reach, itself or through a proxy, has them only when told so.
func (c Config) Learn() bool {
	if c.LearnMode != "auto" {
		return c.LearnMode == "on"
	}
	return c.LocalOnly()
}

// LocalOnly reports whether only this machine reaches the server, itself or through
// a proxy.
func (c Config) LocalOnly() bool {
	base, err := url.Parse(c.BaseURL)
	return err == nil && hostname.IsLoopback(c.Host) && hostname.IsLoopback(base.Hostname())
}

// deriveBase is the address for a browser on this machine.
func deriveBase(host string, port int) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + strings.TrimSuffix(net.JoinHostPort(host, strconv.Itoa(port)), ":80")
}
