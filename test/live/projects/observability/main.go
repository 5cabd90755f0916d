// Command observability is what a web service with databases, queues and telemetry needs.
package main

import (
	_ "connectrpc.com/connect"
	_ "github.com/Azure/azure-sdk-for-go/sdk/azcore"
	_ "github.com/BurntSushi/toml"
	_ "github.com/DataDog/zstd"
	_ "github.com/IBM/sarama"
	_ "github.com/Masterminds/squirrel"
	_ "github.com/gin-gonic/gin"
	_ "github.com/grafana/loki-client-go/loki"
	_ "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/labstack/echo/v4"
	_ "github.com/prometheus/prometheus/promql"
	_ "github.com/redis/go-redis/v9"
	_ "github.com/spf13/viper"
	_ "go.etcd.io/etcd/server/v3/embed"
	_ "go.mongodb.org/mongo-driver/mongo"
	_ "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	_ "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	_ "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	_ "go.opentelemetry.io/otel/sdk/trace"
	_ "go.uber.org/zap"
	_ "google.golang.org/grpc"
	_ "google.golang.org/protobuf/proto"
)

func main() {}
