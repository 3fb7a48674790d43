package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"holdfast/internal/fault"
	"holdfast/internal/sqlitefile"
)

// failure names the error of one call. It wraps the cause, for the log. The caller's
// own context shows whether the caller or the database gave the call up.
func failure(caller context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", doing, fault.ErrNotFound)
	case errors.Is(caller.Err(), context.Canceled):
		return fmt.Errorf("%s: %w: %w", doing, context.Canceled, err)
	case sqlitefile.Removed(err), unavailable(err):
		return fmt.Errorf("%s: %w: %w", doing, fault.ErrUnavailable, sqlitefile.Explain(err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// missing replaces the error for a missing row with another one, or none.
func missing(err, other error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return other
	}
	return err
}

// ofWrite adds fault.ErrOutcomeUnknown to the failure of a write, unless the database
// refused it or it was never sent.
func ofWrite(err error) error {
	if !errors.Is(err, fault.ErrUnavailable) && !errors.Is(err, context.Canceled) {
		return err
	}
	_, postgres := errors.AsType[*pgconn.PgError](err)
	_, lite := errors.AsType[*sqlite.Error](err)
	_, unconnected := errors.AsType[*pgconn.ConnectError](err)
	if postgres || lite || unconnected || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) {
		return err
	}
	return fmt.Errorf("%w: %w", fault.ErrOutcomeUnknown, err)
}

// unavailable reports whether an error means that the database cannot work at the
// moment, so that the same call may succeed later.
func unavailable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgresUnavailable(pg.Code)
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteUnavailable(lite.Code())
	}
	_, unconnected := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return unconnected || network || slices.ContainsFunc([]error{
		context.DeadlineExceeded, context.Canceled, driver.ErrBadConn, sql.ErrConnDone,
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	}, func(cause error) bool { return errors.Is(err, cause) }) ||
		pgconn.SafeToRetry(err) // also true for a connection that was found closed before it was used
}

// retryable reports whether a call has changed nothing and may succeed if repeated:
// PostgreSQL has rolled it back because of another transaction, or a statement was
// planned before a newer version changed a table. Every connection has such plans, so
// all are replaced. If the disk of SQLite is full, DiskFull makes room.
func (db *DB) retryable(err error) bool {
	if sqlitefile.Full(err) && db.diskFull != nil {
		db.diskFull()
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	stale := pg.Code == "0A000" && strings.Contains(pg.Routine, "RevalidateCachedQuery")
	if stale {
		db.pool.Reset()
	}
	return stale || pg.Code == "40001" || pg.Code == "40P01"
}

// postgresUnavailable classifies an SQLSTATE (PostgreSQL documentation, appendix A);
// its first two characters are the class.
func postgresUnavailable(code string) bool {
	return slices.ContainsFunc([]string{
		"08",             // connection
		"25006",          // a standby, or read-only
		"25P03",          // idle in transaction too long
		"28",             // login refused
		"3D000",          // no such database
		"40001", "40P01", // serialization failure, deadlock
		"53",    // out of connections, memory, disk
		"55P03", // lock not available in time
		"57",    // shut down, starting, statement cancelled
		"58",    // failure outside PostgreSQL, such as a disk's
	}, func(codes string) bool { return strings.HasPrefix(code, codes) })
}

// sqliteUnavailable classifies an SQLite result code; its low byte is the kind.
func sqliteUnavailable(code int) bool {
	return slices.Contains([]int{
		sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_NOMEM, sqlitelib.SQLITE_READONLY,
		sqlitelib.SQLITE_INTERRUPT, sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_FULL,
		sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PROTOCOL,
	}, code&0xff)
}

// duplicate reports whether a unique index has refused a row.
func duplicate(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505"
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlitelib.SQLITE_CONSTRAINT_UNIQUE
}
