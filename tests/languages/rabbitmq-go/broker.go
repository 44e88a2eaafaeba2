package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	exchange, key = "orders", "invoice"
	queue, dead   = "invoices", "invoices.dead"
	waiting       = "invoices.later"
)

var quorum = amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(-1)}

// line is a connection whose channel is in confirm mode; returned messages arrive before their confirms.
type line struct {
	connection *amqp.Connection
	channel    *amqp.Channel
	returned   chan amqp.Return
}

func env(name, preset string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return preset
}

func number(name string, preset int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return value
	}
	return preset
}

func milliseconds(name string, preset int) time.Duration {
	return time.Duration(number(name, preset)) * time.Millisecond
}

func dial(within time.Duration) (*line, error) {
	connection, err := amqp.DialConfig(os.Getenv("AMQP_URL"), amqp.Config{
		Heartbeat: 10 * time.Second, Locale: "en_US", Dial: amqp.DefaultDial(within),
	})
	if err != nil {
		return nil, err
	}
	l := &line{connection: connection}
	if err := l.prepare(); err != nil {
		go connection.Close()
		return nil, err
	}
	return l, nil
}

func (l *line) prepare() error {
	channel, err := l.connection.Channel()
	if err != nil {
		return err
	}
	l.channel = channel
	l.returned = channel.NotifyReturn(make(chan amqp.Return, 64))
	later := amqp.Table{"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": key}
	steps := []func() error{
		func() error { return channel.Confirm(false) },
		func() error { return channel.ExchangeDeclare(exchange, "direct", true, false, false, false, nil) },
		func() error { _, err := channel.QueueDeclare(queue, true, false, false, false, quorum); return err },
		func() error { return channel.QueueBind(queue, key, exchange, false, nil) },
		func() error { _, err := channel.QueueDeclare(dead, true, false, false, false, nil); return err },
		func() error { _, err := channel.QueueDeclare(waiting, true, false, false, false, later); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// publish returns nil only if the broker has acked the message and has not returned it. One caller at a time.
func (l *line) publish(ctx context.Context, to, routing string, message amqp.Publishing) error {
	message.DeliveryMode, message.ContentType = amqp.Persistent, "application/json"
	confirm, err := l.channel.PublishWithDeferredConfirmWithContext(ctx, to, routing, true, false, message)
	if err != nil {
		return err
	}
	acked, err := confirm.WaitContext(ctx)
	if err != nil {
		return err
	}
	select {
	case back, open := <-l.returned:
		if open {
			return errors.New("returned: " + back.ReplyText)
		}
		return errors.New("the channel is closed")
	default:
	}
	if !acked {
		return errors.New("the broker refused it")
	}
	return nil
}
